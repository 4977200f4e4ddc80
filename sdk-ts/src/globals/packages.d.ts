declare module "core-js-pure/actual/url/index.js";
declare module "core-js-pure/actual/url-search-params/index.js";
declare module "@ungap/structured-clone" {
  const clone: (value: unknown) => unknown;
  export default clone;
}
declare module "promise-polyfill" {
  const Polyfill: PromiseConstructor;
  export default Polyfill;
}
