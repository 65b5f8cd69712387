import './fast-path-off.ts';
import '../wire/quota.test.ts';
