-- compatible: 0001_compatible
CREATE TABLE `session_ends` (
	`version` integer PRIMARY KEY NOT NULL,
	`id` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `session_state` (
	`id` integer PRIMARY KEY NOT NULL,
	`version` integer NOT NULL,
	`held` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `sessions` (
	`id` text PRIMARY KEY NOT NULL,
	`digest` blob NOT NULL,
	`created` integer NOT NULL,
	`expires` integer NOT NULL,
	`owner` text NOT NULL,
	`origin` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `sessions_owner` ON `sessions` (`owner`,`created`);--> statement-breakpoint
CREATE INDEX `sessions_expires` ON `sessions` (`expires`);--> statement-breakpoint
INSERT INTO `session_state` (`id`, `version`, `held`) VALUES (1, 0, 0);
