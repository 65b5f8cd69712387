-- compatible: 0003_compatible_functions
ALTER TABLE "tidings"."api_keys" ADD COLUMN "operate" boolean DEFAULT false NOT NULL;