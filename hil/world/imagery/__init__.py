"""The ground below the camera: Blue Marble, the land-sea mask, seeded cloud, and the truth."""
