ALTER TABLE "tidings"."epochs" ADD COLUMN "secret" text;--> statement-breakpoint
ALTER TABLE "tidings"."head" ADD COLUMN "level" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "tidings"."retention" ADD COLUMN "clock" bigint;--> statement-breakpoint
UPDATE "tidings"."retention" SET "clock" = (SELECT "time" FROM "tidings"."head" WHERE "seq" > 0);
