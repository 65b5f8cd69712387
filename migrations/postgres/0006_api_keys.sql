-- compatible: 0003_compatible_functions
CREATE TABLE "tidings"."access" (
	"id" smallint PRIMARY KEY NOT NULL,
	"version" bigint NOT NULL,
	"since" bigint NOT NULL,
	"server" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tidings"."api_keys" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"version" bigint NOT NULL,
	"ends" bigint NOT NULL,
	"created" bigint NOT NULL,
	"expires" bigint,
	"revoked" bigint,
	"last_used" bigint,
	"digest" "bytea" NOT NULL,
	"old_digest" "bytea",
	"old_expires" bigint,
	"name" text NOT NULL,
	"permissions" text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX "api_keys_version" ON "tidings"."api_keys" USING btree ("version");--> statement-breakpoint
CREATE INDEX "api_keys_ends" ON "tidings"."api_keys" USING btree ("ends");--> statement-breakpoint
INSERT INTO "tidings"."access" ("id", "version", "since", "server") VALUES (1, 0, 0, '');
