-- compatible: 0003_compatible_functions
CREATE TABLE "tidings"."ticket_state" (
	"id" smallint PRIMARY KEY NOT NULL,
	"generation" bigint NOT NULL,
	"held" bigint NOT NULL,
	"server" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tidings"."tickets" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"generation" bigint NOT NULL,
	"ends" bigint NOT NULL,
	"until" bigint NOT NULL,
	"guarded" boolean NOT NULL,
	"digest" "bytea" NOT NULL,
	"owner" text COLLATE "C" NOT NULL,
	"session" text,
	"origin" text NOT NULL,
	"topics" text NOT NULL
);
--> statement-breakpoint
CREATE INDEX "tickets_generation" ON "tidings"."tickets" USING btree ("generation");--> statement-breakpoint
CREATE INDEX "tickets_ends" ON "tidings"."tickets" USING btree ("ends");--> statement-breakpoint
CREATE INDEX "tickets_owner" ON "tidings"."tickets" USING btree ("owner","ends");--> statement-breakpoint
INSERT INTO "tidings"."ticket_state" ("id", "generation", "held", "server") VALUES (1, 0, 0, '');
