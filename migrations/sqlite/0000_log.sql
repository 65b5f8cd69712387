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
	`id` integer PRIMARY KEY NOT NULL,
	`scope` text NOT NULL,
	`key` text NOT NULL,
	`fingerprint` blob NOT NULL,
	`epoch` integer NOT NULL,
	`first` integer NOT NULL,
	`time` integer NOT NULL,
	`expires` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `keys_scope_key` ON `keys` (`scope`,`key`);--> statement-breakpoint
CREATE TABLE `messages` (
	`seq` integer PRIMARY KEY NOT NULL,
	`epoch` integer NOT NULL,
	`time` integer NOT NULL,
	`expires` integer NOT NULL,
	`topic` text NOT NULL,
	`event` text,
	`json` integer NOT NULL,
	`data` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `recent` (
	`topic` text NOT NULL,
	`seq` integer NOT NULL,
	PRIMARY KEY(`topic`, `seq`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `retention` (
	`id` integer PRIMARY KEY NOT NULL,
	`oldest` integer NOT NULL,
	`bytes` integer NOT NULL,
	`time` integer
);
--> statement-breakpoint
CREATE TABLE `segments` (
	`segment` text NOT NULL,
	`seq` integer NOT NULL,
	PRIMARY KEY(`segment`, `seq`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `topics` (
	`topic` text NOT NULL,
	`seq` integer NOT NULL,
	PRIMARY KEY(`topic`, `seq`)
) WITHOUT ROWID;
