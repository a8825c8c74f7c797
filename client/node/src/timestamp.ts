/**
 * A moment to the microsecond, as the server keeps it: a Date, which has milliseconds, with its text. Comes back where milliseconds are not
 * enough, and goes in as it is.
 */
export class Timestamp extends Date {
  /** As RFC 3339 has it: "2026-01-31T12:00:00.000001Z". */
  constructor(readonly rfc3339: string) {
    super(rfc3339);
  }

  /** A plain Date, if that says all there is. */
  static of(rfc3339: string): Date {
    return /\.\d{4,}Z$/.test(rfc3339) ? new Timestamp(rfc3339) : new Date(rfc3339);
  }

  override toJSON(): string {
    return this.getTime() === Date.parse(this.rfc3339) ? this.rfc3339 : super.toJSON(); // set anew, it has milliseconds
  }
}
