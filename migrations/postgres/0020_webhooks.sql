-- compatible: 0003_compatible_functions
CREATE TABLE "tidings"."webhook_attempts" (
	"webhook" text COLLATE "C" NOT NULL,
	"number" bigint NOT NULL,
	"attempt" text NOT NULL,
	CONSTRAINT "webhook_attempts_webhook_number_pk" PRIMARY KEY("webhook","number")
);
--> statement-breakpoint
CREATE TABLE "tidings"."webhook_owners" (
	"owner" text COLLATE "C" PRIMARY KEY NOT NULL,
	"until" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tidings"."webhooks" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"version" bigint NOT NULL,
	"settings" text NOT NULL,
	"status" text NOT NULL,
	"reason" text,
	"created" bigint NOT NULL,
	"cursor" text COLLATE "C" NOT NULL,
	"failures" bigint NOT NULL,
	"failing_since" bigint,
	"next_at" bigint NOT NULL,
	"owner" text COLLATE "C" NOT NULL,
	"fence" bigint NOT NULL,
	"attempted" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "webhooks_owner" ON "tidings"."webhooks" USING btree ("owner");