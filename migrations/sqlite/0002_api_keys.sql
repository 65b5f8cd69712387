-- compatible: 0001_compatible
CREATE TABLE `access` (
	`id` integer PRIMARY KEY NOT NULL,
	`version` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `api_keys` (
	`id` text PRIMARY KEY NOT NULL,
	`version` integer NOT NULL,
	`ends` integer NOT NULL,
	`created` integer NOT NULL,
	`expires` integer,
	`revoked` integer,
	`last_used` integer,
	`digest` blob NOT NULL,
	`old_digest` blob,
	`old_expires` integer,
	`name` text NOT NULL,
	`permissions` text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `api_keys_version` ON `api_keys` (`version`);--> statement-breakpoint
CREATE INDEX `api_keys_ends` ON `api_keys` (`ends`);--> statement-breakpoint
INSERT INTO `access` (`id`, `version`) VALUES (1, 0);
