/** Valid names of Kafka's topics. */
export const TOPIC_NAME = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/;
export const NO_TOPIC_NAME = 'its topic is no name that Kafka takes';
