-- compatible: 0001_compatible
CREATE TABLE `erasures` (
	`version` integer PRIMARY KEY NOT NULL,
	`seq` integer NOT NULL,
	`prefix` integer NOT NULL,
	`wiped` integer NOT NULL,
	`topic` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `filler` (
	`id` integer PRIMARY KEY NOT NULL,
	`zeros` blob NOT NULL
);
