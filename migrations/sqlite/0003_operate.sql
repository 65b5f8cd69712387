-- compatible: 0002_api_keys
ALTER TABLE `api_keys` ADD `operate` integer DEFAULT 0 NOT NULL;