/** The purpose of a request decides who gets in. The grant decides about topics. */
export type Purpose =
  /** Publishing and reading: senders whose grant has the topics. */
  | 'messages'
  /** Senders whose grant may erase something. That takes a credential even without access control. */
  | 'erasure'
  /** Everybody. Strangers see no details. */
  | 'health'
  /** Everybody, with any credential. */
  | 'public'
  /** Operators. Without access control, everybody. */
  | 'operations'
  /** Administrators, even without access control. */
  | 'administration'
  /** Administrators. Without access control, also users of this machine. */
  | 'fleet'
  /** Senders with a credential. Ending a session takes none. */
  | 'session'
  /** Senders with a credential. */
  | 'ticket'
  /** Senders whose grant shows who listens on some topic. */
  | 'presence'
  /** Senders who ask for their own permissions. Without a credential, only where something is public. */
  | 'self'
  /** Everybody; the answer has the sender's permissions. A bad credential is refused. */
  | 'index'
  /** Everybody: the route checks a signature of the body. */
  | 'hook';
