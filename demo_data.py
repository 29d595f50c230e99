def ensure_demo_data(p):
    pass
