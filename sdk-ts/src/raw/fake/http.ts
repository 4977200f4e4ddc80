// Outside of a component: whatever fake host is in place.

import type { Http } from "../contract.js";
import { current } from "../current.js";

const http: Http = current("http");
export default http;
