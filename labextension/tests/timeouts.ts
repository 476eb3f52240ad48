import { configure } from '@testing-library/dom';

// Elements appear at once, but on a busy machine that takes long.
configure({ asyncUtilTimeout: 10000 });
