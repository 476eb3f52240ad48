import { configure } from '@testing-library/dom';

// What is waited for comes at once, but for machines that have other things to do.
configure({ asyncUtilTimeout: 10000 });
