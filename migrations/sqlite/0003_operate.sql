-- compatible: 0001_compatible
ALTER TABLE `api_keys` ADD `operate` integer DEFAULT 0 NOT NULL;