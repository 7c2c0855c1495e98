"""Programs that run at sites: plain command lines that know nothing of the platform that starts them."""
