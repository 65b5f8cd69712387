-- compatible: 0001_compatible
CREATE TABLE `revocation_list` (
	`id` integer PRIMARY KEY NOT NULL,
	`version` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `revocations` (
	`kind` text NOT NULL,
	`name` text NOT NULL,
	`before` integer,
	`created` integer NOT NULL,
	`ends` integer NOT NULL,
	`version` integer NOT NULL,
	PRIMARY KEY(`kind`, `name`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `revocations_version` ON `revocations` (`version`);--> statement-breakpoint
CREATE INDEX `revocations_ends` ON `revocations` (`ends`);--> statement-breakpoint
INSERT INTO `revocation_list` (`id`, `version`) VALUES (1, 0);
