const { TestEnvironment } = require('jest-environment-jsdom');

/** jsdom, with node's own fetch, which jsdom does not have. */
module.exports = class extends TestEnvironment {
  async setup() {
    await super.setup();
    Object.assign(this.global, { fetch, Headers, Request, Response });
  }
};
