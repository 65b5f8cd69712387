CREATE TABLE `epochs` (
	`id` integer PRIMARY KEY NOT NULL,
	`epoch` text NOT NULL,
	`first` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `epochs_epoch_unique` ON `epochs` (`epoch`);--> statement-breakpoint
CREATE TABLE `head` (
	`id` integer PRIMARY KEY NOT NULL,
	`log` text NOT NULL,
	`seq` integer NOT NULL,
	`epoch` integer NOT NULL,
	`time` integer NOT NULL,
	`bytes` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `keys` (
	`scope` text NOT NULL,
	`key` text NOT NULL,
	`fingerprint` blob NOT NULL,
	`epoch` integer NOT NULL,
	`first` integer NOT NULL,
	`time` integer NOT NULL,
	`expires` integer NOT NULL,
	PRIMARY KEY(`scope`, `key`)
);
--> statement-breakpoint
CREATE INDEX `keys_expires` ON `keys` (`expires`);--> statement-breakpoint
CREATE TABLE `messages` (
	`seq` integer PRIMARY KEY NOT NULL,
	`epoch` integer NOT NULL,
	`time` integer NOT NULL,
	`expires` integer NOT NULL,
	`topic` text NOT NULL,
	`event` text,
	`json` integer NOT NULL,
	`data` blob NOT NULL,
	`segment` text GENERATED ALWAYS AS (substr("topic", 1, instr("topic", '.') - 1)) VIRTUAL
);
--> statement-breakpoint
CREATE INDEX `messages_topic` ON `messages` (`topic`);--> statement-breakpoint
CREATE INDEX `messages_segment` ON `messages` (`segment`) WHERE "segment" <> '';--> statement-breakpoint
CREATE TABLE `retention` (
	`id` integer PRIMARY KEY NOT NULL,
	`oldest` integer NOT NULL,
	`bytes` integer NOT NULL,
	`time` integer
);
