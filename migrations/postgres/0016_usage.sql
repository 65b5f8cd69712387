-- compatible: 0003_compatible_functions
CREATE TABLE "tidings"."usage" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"version" bigint NOT NULL,
	"first" bigint NOT NULL,
	"last" bigint NOT NULL,
	"topics" text NOT NULL,
	"senders" text NOT NULL
);
--> statement-breakpoint
CREATE INDEX "usage_version" ON "tidings"."usage" USING btree ("version");