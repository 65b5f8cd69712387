-- compatible: 0006_api_keys
ALTER TABLE "tidings"."api_keys" ADD COLUMN "operate" boolean DEFAULT false NOT NULL;