-- compatible: 0003_compatible_functions
CREATE TABLE "tidings"."session_ends" (
	"version" bigint PRIMARY KEY NOT NULL,
	"id" text COLLATE "C" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tidings"."session_state" (
	"id" smallint PRIMARY KEY NOT NULL,
	"version" bigint NOT NULL,
	"held" bigint NOT NULL,
	"since" bigint NOT NULL,
	"server" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tidings"."sessions" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"digest" "bytea" NOT NULL,
	"created" bigint NOT NULL,
	"expires" bigint NOT NULL,
	"owner" text COLLATE "C" NOT NULL,
	"origin" text NOT NULL
);
--> statement-breakpoint
CREATE INDEX "sessions_owner" ON "tidings"."sessions" USING btree ("owner","created");--> statement-breakpoint
CREATE INDEX "sessions_expires" ON "tidings"."sessions" USING btree ("expires");--> statement-breakpoint
INSERT INTO "tidings"."session_state" ("id", "version", "held", "since", "server") VALUES (1, 0, 0, 0, '');
