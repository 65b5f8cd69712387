-- compatible: 0001_compatible
CREATE TABLE `usage` (
	`id` text PRIMARY KEY NOT NULL,
	`version` integer NOT NULL,
	`first` integer NOT NULL,
	`last` integer NOT NULL,
	`topics` text NOT NULL,
	`senders` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `usage_version` ON `usage` (`version`);