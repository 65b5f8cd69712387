import type { JSX } from 'preact';
import { Command, Empty } from '../parts.tsx';

/** The hint of a view for administrators while the service has no access control: then there are no administrators. @param what The view. @param verb The words before "an administrator" in its title. */
export function FirstKey({ what, verb = 'made by' }: { readonly what: string; readonly verb?: string }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="first-key-title">
      <header class="panel-head"><h1 id="first-key-title">{what}</h1></header>
      <Empty title={`${what} are ${verb} an administrator`}>
        <p>The first key is made on the machine of the service, in its folder. On a service of this machine alone, from then on everything takes a key.</p>
        <Command text="npx tidings keys create --name admin --publish '>' --subscribe '>' --presence '>' --admin" />
        <p>Then reload this page, and sign in with it.</p>
      </Empty>
    </section>
  );
}
