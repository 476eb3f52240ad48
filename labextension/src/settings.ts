import type { ISettingRegistry } from '@jupyterlab/settingregistry';

/** The user's settings; schema/plugin.json describes them and has the defaults. */
export interface ISettings {
  readonly statusBar: boolean;
  readonly engine: string;
  readonly idle: string;
}

/** Call `apply` with the user's settings, now and whenever they change. Without a registry, do nothing. */
export async function follow(
  registry: ISettingRegistry | null,
  id: string,
  apply: (settings: ISettings) => void
): Promise<void> {
  const settings = await registry?.load(id);
  if (settings) {
    const changed = (): void => apply(settings.composite as unknown as ISettings);
    settings.changed.connect(changed);
    changed();
  }
}
