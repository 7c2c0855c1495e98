"""What needs the Globus SDK. It takes a while to import, so the mover does it only when it moves."""
