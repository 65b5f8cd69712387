-- compatible: 0003_compatible_functions
-- These tables have one row each, which is rewritten at every change of a key, a revocation, a session or a ticket. As in 0014_newest_versions.sql, what grows becomes the key: so the newest
-- version of the row is found without a look at those that an old snapshot keeps. An older instance that writes a row leaves `changes` as it is: what it writes is right, and a little slower to
-- find until it is replaced.
-- Whoever reads the tables, `pg_dump` too, keeps the keys from being exchanged, and others would wait behind this: it gives up soon, and is tried again.
SET LOCAL lock_timeout = '500ms';
--> statement-breakpoint
ALTER TABLE "tidings"."access" DROP CONSTRAINT "access_pkey", ADD PRIMARY KEY ("version");--> statement-breakpoint
ALTER TABLE "tidings"."revocation_list" DROP CONSTRAINT "revocation_list_pkey", ADD PRIMARY KEY ("version");--> statement-breakpoint
ALTER TABLE "tidings"."session_state" DROP CONSTRAINT "session_state_pkey", ADD COLUMN "changes" bigint PRIMARY KEY DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "tidings"."ticket_state" DROP CONSTRAINT "ticket_state_pkey", ADD COLUMN "changes" bigint PRIMARY KEY DEFAULT 0 NOT NULL;
