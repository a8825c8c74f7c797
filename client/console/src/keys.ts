// The keys that were typed in. They stay in this tab's session storage alone, go nowhere but into this server's calls, and are gone
// when the tab is closed.
type Listener = () => void;

const kRead = "bebr.key";
const kAdmin = "bebr.admin-key";

class Keys {
  private listeners = new Set<Listener>();
  private open = false;

  get read(): string { return sessionStorage.getItem(kRead) ?? ""; }
  get admin(): string { return sessionStorage.getItem(kAdmin) ?? ""; }
  // Whether changes may be offered: an admin key is there, or the server asks for none.
  get mayChange(): boolean { return this.open || this.admin !== ""; }
  // Whether the server has answered a call without a key.
  get serverIsOpen(): boolean { return this.open; }

  set(read: string, admin: string): void {
    for (const [name, value] of [[kRead, read], [kAdmin, admin]] as const) {
      if (value) sessionStorage.setItem(name, value); else sessionStorage.removeItem(name);
    }
    this.open = false;
    this.tell();
  }

  foundOpen(): void {
    if (this.open || this.read || this.admin) return;
    this.open = true;
    this.tell();
  }

  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => { this.listeners.delete(listener); };
  }

  private tell(): void { for (const listener of this.listeners) listener(); }
}

export const keys = new Keys();

// The key of a call: the one for changes where it is one, else the reading one; each stands in for the other that is missing.
export function keyFor(change: boolean): string {
  return change ? keys.admin || keys.read : keys.read || keys.admin;
}
