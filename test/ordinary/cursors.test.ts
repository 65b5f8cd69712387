import './fast-path-off.ts';
import '../wire/cursors.test.ts';
