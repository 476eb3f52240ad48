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
      // Lumino's signals take a method and its object apart.
      '@typescript-eslint/unbound-method': 'off'
    }
  }
);
