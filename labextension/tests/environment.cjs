const { TestEnvironment } = require('jest-environment-jsdom');

/** jsdom with Node's fetch, which jsdom lacks. */
module.exports = class extends TestEnvironment {
  async setup() {
    await super.setup();
    Object.assign(this.global, { fetch, Headers, Request, Response });
  }
};
