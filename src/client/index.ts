/**
 * Speaks to the HTTP API inside a guest: whether it is healthy, and vector queries. Knows both dialects in
 * use, rvf-server's `/v1/...` and the older unversioned one, and nothing of VMs.
 */
export { probeHealth, type Health } from "./health.js";
export { query, type Neighbour, type QueryOptions } from "./query.js";
