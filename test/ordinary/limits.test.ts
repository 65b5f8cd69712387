import './fast-path-off.ts';
import '../wire/limits.test.ts';
