import './fast-path-off.ts';
import '../wire/cors.test.ts';
