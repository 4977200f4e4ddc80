// What goes wrong while a plugin is built, said once and for people: what failed, why, and the cure.

/** A fault of the project, as opposed to one of this program. */
export class BuildFailure extends Error {
  constructor(
    message: string,
    /** What to do. */
    readonly cure?: string,
  ) {
    super(message);
  }
}
