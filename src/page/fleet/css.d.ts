/** A style sheet as its text, which the build puts into the module. */
declare module '*.css?inline' {
  const text: string;
  export default text;
}
