CREATE TABLE "tidings"."epochs" (
	"id" integer PRIMARY KEY NOT NULL,
	"epoch" text NOT NULL,
	"first" bigint NOT NULL,
	CONSTRAINT "epochs_epoch_unique" UNIQUE("epoch")
);
--> statement-breakpoint
CREATE TABLE "tidings"."head" (
	"id" smallint PRIMARY KEY NOT NULL,
	"log" text NOT NULL,
	"seq" bigint NOT NULL,
	"epoch" text NOT NULL,
	"time" bigint NOT NULL,
	"bytes" bigint NOT NULL,
	"server" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tidings"."keys" (
	"scope" text COLLATE "C" NOT NULL,
	"key" text COLLATE "C" NOT NULL,
	"fingerprint" "bytea" NOT NULL,
	"epoch" text NOT NULL,
	"first" bigint NOT NULL,
	"time" bigint NOT NULL,
	"expires" bigint NOT NULL,
	CONSTRAINT "keys_scope_key_pk" PRIMARY KEY("scope","key")
);
--> statement-breakpoint
CREATE TABLE "tidings"."messages" (
	"seq" bigint PRIMARY KEY NOT NULL,
	"time" bigint NOT NULL,
	"expires" bigint NOT NULL,
	"json" boolean NOT NULL,
	"topic" text COLLATE "C" NOT NULL,
	"event" text,
	"data" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tidings"."retention" (
	"id" smallint PRIMARY KEY NOT NULL,
	"oldest" bigint NOT NULL,
	"bytes" bigint NOT NULL,
	"time" bigint
);
--> statement-breakpoint
CREATE INDEX "keys_expires" ON "tidings"."keys" USING btree ("expires");--> statement-breakpoint
CREATE INDEX "messages_topic" ON "tidings"."messages" USING btree ("topic",("seq" + 0));--> statement-breakpoint
CREATE INDEX "messages_segment" ON "tidings"."messages" USING btree (split_part("topic", '.', 1),("seq" + 0)) WHERE strpos("tidings"."messages"."topic", '.') > 0;