import './fast-path-off.ts';
import '../wire/http.test.ts';
