"""Configuration traits of the spawner classes, mixed into `BatchSpawnerBase`."""
