/** JupyterLab's packages are ES modules that import styles and SVG files. jest reads none of these by itself. */
const MODULES =
  '@jupyter|@jupyterlab|@lumino|@microsoft|@rjsf|exenv-es6|lib0|nanoid|y-protocols|yjs';

module.exports = {
  testEnvironment: '<rootDir>/tests/environment.cjs',
  roots: ['<rootDir>/tests'],
  testMatch: ['**/*.test.{ts,tsx}'],
  setupFiles: ['<rootDir>/tests/browser.ts'],
  setupFilesAfterEnv: ['@testing-library/jest-dom', '<rootDir>/tests/timeouts.ts'],
  testTimeout: 60000,
  // `jlpm lint:check` checks the types.
  transform: {
    '\\.[jt]sx?$': ['ts-jest', { diagnostics: false, tsconfig: 'tests/tsconfig.json' }]
  },
  transformIgnorePatterns: [`/node_modules/(?!(${MODULES})/)`],
  moduleNameMapper: { '\\.(css|svg)$': '<rootDir>/tests/svg.cjs' }
};
