import './fast-path-off.ts';
import '../wire/stream.test.ts';
