import './fast-path-off.ts';
import '../wire/publish.test.ts';
