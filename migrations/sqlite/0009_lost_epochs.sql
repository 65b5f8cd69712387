-- compatible: 0001_compatible
CREATE TABLE `lost_epochs` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`epoch` text NOT NULL,
	`parent` text NOT NULL,
	`seq` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `lost_epochs_epoch_unique` ON `lost_epochs` (`epoch`);