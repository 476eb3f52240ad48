import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['**/*.cjs'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname }
    },
    rules: {
      'no-console': 'error',
      // Signals of Lumino are connected to a method and, separately, to its object.
      '@typescript-eslint/unbound-method': 'off'
    }
  }
);
