-- compatible: 0001_compatible
CREATE TABLE `webhook_attempts` (
	`webhook` text NOT NULL,
	`number` integer NOT NULL,
	`attempt` text NOT NULL,
	PRIMARY KEY(`webhook`, `number`)
);
--> statement-breakpoint
CREATE TABLE `webhook_owners` (
	`owner` text PRIMARY KEY NOT NULL,
	`until` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `webhooks` (
	`id` text PRIMARY KEY NOT NULL,
	`version` integer NOT NULL,
	`settings` text NOT NULL,
	`status` text NOT NULL,
	`reason` text,
	`created` integer NOT NULL,
	`cursor` text NOT NULL,
	`failures` integer NOT NULL,
	`failing_since` integer,
	`next_at` integer NOT NULL,
	`owner` text NOT NULL,
	`fence` integer NOT NULL,
	`attempted` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `webhooks_owner` ON `webhooks` (`owner`);