// Where keys are typed in.
import { useState } from "preact/hooks";
import { Failure, Field } from "../parts/basic";
import { useKeys, useLive } from "../parts/hooks";

export function KeysPage() {
  const keys = useKeys();
  const { error } = useLive();
  const [read, setRead] = useState(keys.read);
  const [admin, setAdmin] = useState(keys.admin);
  const [told, setTold] = useState("");
  const save = (event: Event) => {
    event.preventDefault();
    keys.set(read.trim(), admin.trim());
    setTold(read.trim() || admin.trim() ? "The keys are in use." : "No key is in use.");
  };
  const forget = () => {
    setRead("");
    setAdmin("");
    keys.set("", "");
    setTold("The keys are forgotten.");
  };
  return (
    <>
      <h1 tabIndex={-1}>Keys</h1>
      <p>They stay in this tab until it is closed, and go to this server alone. {keys.serverIsOpen && <strong>This server asks for no keys.</strong>}</p>
      <form onSubmit={save} class="stack">
        <Field id="read-key" label="Key to read with" hint="Role read or higher: collections, searches, statistics.">
          <input id="read-key" type="password" autocomplete="off" spellcheck={false} aria-describedby="read-key-hint" value={read}
            onInput={(event) => setRead(event.currentTarget.value)} />
        </Field>
        <Field id="admin-key" label="Key for changes" hint="Role admin: checks, promotions, roll backs, retirements. The buttons appear with it.">
          <input id="admin-key" type="password" autocomplete="off" spellcheck={false} aria-describedby="admin-key-hint" value={admin}
            onInput={(event) => setAdmin(event.currentTarget.value)} />
        </Field>
        <p class="buttons">
          <button class="primary" type="submit">Use keys</button>
          <button type="button" onClick={forget}>Forget keys</button>
        </p>
      </form>
      <p role="status">{told}</p>
      <Failure error={error} />
    </>
  );
}
