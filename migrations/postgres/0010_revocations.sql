-- compatible: 0003_compatible_functions
CREATE TABLE "tidings"."revocation_list" (
	"id" smallint PRIMARY KEY NOT NULL,
	"version" bigint NOT NULL,
	"since" bigint NOT NULL,
	"server" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tidings"."revocations" (
	"kind" text COLLATE "C" NOT NULL,
	"name" text COLLATE "C" NOT NULL,
	"before" bigint,
	"created" bigint NOT NULL,
	"ends" bigint NOT NULL,
	"version" bigint NOT NULL,
	CONSTRAINT "revocations_kind_name_pk" PRIMARY KEY("kind","name")
);
--> statement-breakpoint
CREATE UNIQUE INDEX "revocations_version" ON "tidings"."revocations" USING btree ("version");--> statement-breakpoint
CREATE INDEX "revocations_ends" ON "tidings"."revocations" USING btree ("ends");--> statement-breakpoint
INSERT INTO "tidings"."revocation_list" ("id", "version", "since", "server") VALUES (1, 0, 0, '');
