import './fast-path-off.ts';
import '../wire/keys.test.ts';
